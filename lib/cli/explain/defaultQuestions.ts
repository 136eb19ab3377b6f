/** What is answered where nobody asks: the verdict, where, and why. */
export const DEFAULT_QUESTIONS: readonly string[] = [
  'Is this face real or fake?',
  'Where are the strongest traces?',
  'Why do you think so?',
];
