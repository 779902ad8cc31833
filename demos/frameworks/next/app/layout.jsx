export const metadata = { title: 'Stable Diffusion in Next.js', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en" style={{ colorScheme: 'light dark' }}>
      <body>{children}</body>
    </html>
  );
}
