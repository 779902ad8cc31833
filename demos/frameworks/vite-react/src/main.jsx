import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Painter } from './painter.jsx';

createRoot(document.querySelector('#root')).render(
  <StrictMode>
    <Painter model="/models/landscapes/" />
  </StrictMode>,
);
