"""What operators do: who is signed in, what each has done, and how they have switched rules."""
