// What scrolls must be reachable by the keyboard, and what is a button must have a name.
addEventListener('DOMContentLoaded', () => {
  for (const box of document.querySelectorAll('.tsd-typography table, pre')) box.tabIndex = 0;
});
