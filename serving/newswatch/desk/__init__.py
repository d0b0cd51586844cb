"""The desk: the page for analysts and the routes behind it."""
