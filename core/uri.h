/* RFC 3986, as far as attributes need it: is this text a URI, or a URI-reference? */
#ifndef FERRY_CORE_URI_H
#define FERRY_CORE_URI_H

#include "core/slice.h"

/* scheme ":" … ; a fragment is let pass. */
bool ferry_uri_valid(struct ferry_slice text);
/* A URI or a relative reference; the empty text is one. */
bool ferry_uri_reference_valid(struct ferry_slice text);
/* May this byte stand in any part of a URI without being percent-encoded? */
bool ferry_uri_byte_is_unreserved(unsigned char byte);

#endif
