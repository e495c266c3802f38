"""What is compiled as C: sources, and the compiler that is found here."""
