// What scrolls must be reachable by the keyboard, and what folds must hold no link.
addEventListener('DOMContentLoaded', () => {
  for (const box of document.querySelectorAll('.tsd-typography table, pre')) box.tabIndex = 0;

  /** A module's own page becomes the first item of its list. */
  const unnest = (summary) => {
    const link = summary.querySelector('a');
    const list = summary.parentElement.querySelector('ul');
    if (!link || !list) return;
    const name = document.createElement('span');
    name.append(...link.childNodes);
    link.replaceWith(name);
    link.textContent = 'Overview';
    const item = document.createElement('li');
    item.append(link);
    list.prepend(item);
  };
  const menu = document.querySelector('#tsd-nav-container');
  const look = () => menu.querySelectorAll('summary').forEach(unnest);
  // The menu is filled by the theme's script, whenever its data has come.
  if (menu) new MutationObserver(look).observe(menu, { childList: true, subtree: true });
  if (menu) look();
});
