"""What is written of how good the score of alerts is: a page, its pictures, and the mistakes as pictures."""
