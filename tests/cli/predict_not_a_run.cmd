predict .
