"""Who signed, and when: verification by key and by certificate, with what logs and time stamps prove."""
