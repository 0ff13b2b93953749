"use strict";
const form = document.getElementById("answer");
const said = document.getElementById("said");

function filledIn() {
  const answers = {};
  for (const field of form.querySelectorAll("[data-type]")) {
    const text = field.value.trim();
    if (text === "") continue;
    const type = field.dataset.type;
    const number = type === "integer" || type === "number";
    // What is no number goes as it was typed: the server says what it expects.
    answers[field.name] = type === "boolean" ? text === "true" : number && !isNaN(text) ? Number(text) : text;
  }
  return answers;
}

async function send(decision) {
  const comment = form.elements.comment.value;
  const takesBack = decision === "withdraw";
  const body = takesBack
    ? { comment }
    : { decision, comment, digest: form.dataset.digest, answers: decision === "approve" ? filledIn() : {} };
  const answer = await fetch(form.dataset.to, {
    method: takesBack ? "DELETE" : "POST",
    headers: { "Content-Type": "application/json", "X-Relman-Via": "page" },
    body: JSON.stringify(body),
  });
  if (answer.ok) return location.reload();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.detail || `the server answered ${answer.status}`);
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const buttons = form.querySelectorAll("button");
  if (!confirm(`${event.submitter.textContent.trim()}: ${document.title}?`)) return;
  buttons.forEach((button) => { button.disabled = true; });
  said.textContent = "…";
  try {
    await send(event.submitter.value);
  } catch (error) {
    said.className = "bad";
    said.textContent = error.message;
    buttons.forEach((button) => { button.disabled = false; });
  }
});
