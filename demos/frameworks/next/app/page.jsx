import { Painter } from './painter.jsx';

// Rendered on the server, too: the package touches nothing of a browser when it is imported.
export default function Page() {
  return <Painter model="/models/landscapes/" />;
}
