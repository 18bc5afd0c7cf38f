// The slider says its number, and counts as soon as it is let go; without script there is a button.
"use strict";

const rate = document.getElementById("rate");
rate.addEventListener("input", () => { document.getElementById("number").textContent = rate.value; });
rate.addEventListener("change", () => rate.form.requestSubmit());
