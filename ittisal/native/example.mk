# make; ./example picture.ppm > map.pgm
CFLAGS ?= -O2 -Wall -Wextra
PREFIX = $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)

example: example.c $(PREFIX)/lib/libittisal.so
	$(CC) -std=c99 $(CFLAGS) -I$(PREFIX)/include $< -L$(PREFIX)/lib -Wl,-rpath,$(PREFIX)/lib -littisal -o $@

clean:
	rm -f example

.PHONY: clean
