"use strict";
// Renews the curve of a running trial; when the trial is done its page is gone, and asking ends.
const live = document.getElementById("live");
const renew = async () => {
  if (!document.hidden) {
    const answer = await fetch(live.dataset.from);
    if (!answer.ok) return;
    live.innerHTML = await answer.text(); // of our own template, in which every value is escaped
  }
  setTimeout(renew, 2000);
};
if (live) setTimeout(renew, 2000);
