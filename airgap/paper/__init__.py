"""What goes back across the gap by hand: a signed statement as a page with QR codes, and a page as a statement."""
