"""The whole system in containers: its images, and its start and end with Compose."""
