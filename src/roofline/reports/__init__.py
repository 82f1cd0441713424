"""Results for people: terminal text, descriptor cards and the HTML page."""
