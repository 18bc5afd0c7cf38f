// What the pages do beyond htmx: they say whether they are live, and copy ids. Without it nothing is missing.
"use strict";

document.documentElement.classList.add("script");

function say(text) {
  const live = document.getElementById("live");
  if (live && live.textContent !== text) live.textContent = text;
}

document.addEventListener("htmx:sse:after:message", (event) => {
  if (!event.detail.message.event) say("Live: changes appear by themselves.");
});
document.addEventListener("not-live", (event) => say("Not live: " + event.detail.data));
document.addEventListener("htmx:sse:error", (event) => {
  say(event.detail.status === 401
    ? "Not live: your session has ended: reload this page to sign in."
    : "Not live: the service does not answer; trying again.");
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button || !navigator.clipboard) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
