"""What the receivers of messages answer: by the page behind a link, or by a button in Slack."""
