"""The sender: turns new alerts into messages, and brings what is in the outbox to Slack."""
