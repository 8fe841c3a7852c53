/* Tells HTTP/2 from HTTP/1 by the first bytes of a connection. */
#ifndef SNAKEPIT_SERVER_HTTP_SNIFF_H
#define SNAKEPIT_SERVER_HTTP_SNIFF_H

#include "base/bytes.h"

enum sniff_verdict {
    SNIFF_MORE,  /* could still become the HTTP/2 preface */
    SNIFF_HTTP1, /* starts with a letter, as methods do: for the HTTP/1 parser to judge */
    SNIFF_JUNK,  /* neither: a TLS hello, an empty line, … */
    SNIFF_HTTP2, /* the whole preface is there */
};

/* Length of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" (RFC 9113, 3.4). */
enum { SNIFF_PREFACE_LEN = 24 };

/* Judges the first bytes; more than SNIFF_PREFACE_LEN of them are not needed. Pure. */
enum sniff_verdict sniff(struct bytes start);

#endif
