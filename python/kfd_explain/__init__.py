"""Forgery prompts for a language model: evidence, dialogues, prompt learner, language-model training, export (spec explainer)."""
