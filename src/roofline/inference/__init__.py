"""One forward pass, and a service under load in closed form."""
