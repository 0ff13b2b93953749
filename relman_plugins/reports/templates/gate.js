"use strict";
const form = document.getElementById("answer");
const said = document.getElementById("said");
const where = document.getElementById("where")?.dataset;
// Names of a rule's fields must not hide what the form itself has, hence their prefix.
const PREFIX = "field-";

function typed(type, text) {
  if (type === "boolean") return text === "true";
  const number = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  const exact = type === "integer" ? Number.isSafeInteger(number) : type === "number" && Number.isFinite(number);
  // What is no number goes as it was typed: the server says what it expects.
  return exact ? number : text;
}

function filledIn() {
  const answers = {};
  for (const field of document.querySelectorAll("#answer [data-type]")) {
    const text = field.value.trim();
    if (text !== "") answers[field.name.slice(PREFIX.length)] = typed(field.dataset.type, field.value);
  }
  return answers;
}

async function send(decision) {
  const comment = document.querySelector("#answer [name=comment]").value;
  const bodies = {
    approve: () => ({ decision, comment, digest: where.digest, answers: filledIn() }),
    // A no counts whatever is asked by now.
    reject: () => ({ decision, comment }),
    withdraw: () => ({ comment }),
  };
  const answer = await fetch(where.to, {
    method: decision === "withdraw" ? "DELETE" : "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(bodies[decision]()),
  });
  if (answer.ok) return location.reload();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.detail || `the server answered ${answer.status}`);
}

const buttons = document.querySelectorAll("#answer button");

async function press(button) {
  if (!confirm(`${button.textContent.trim()}: ${where.asked}?`)) return;
  buttons.forEach((one) => { one.disabled = true; });
  said.textContent = "…";
  try {
    await send(button.value);
  } catch (error) {
    said.className = "bad";
    said.textContent = error.message;
    buttons.forEach((one) => { one.disabled = false; });
  }
}

buttons.forEach((button) => button.addEventListener("click", () => press(button)));
// Enter in a field is no answer.
form?.addEventListener("submit", (event) => event.preventDefault());
