/* JSON for the console's page: members one after the other, commas where they belong. Texts are concealed. */
#ifndef FERRY_BRIDGE_CONSOLE_PRINT_H
#define FERRY_BRIDGE_CONSOLE_PRINT_H

#include "core/buffer.h"

/* The name (NULL in an array) and what stands before it; a value must follow. */
void ferry_console_member(struct ferry_buffer *out, const char *name);
/* … a text of ours, as it stands; one from outside, concealed; null for the absent slice. */
void ferry_console_add_plain(struct ferry_buffer *out, const char *name, const char *text);
void ferry_console_add_text(struct ferry_buffer *out, const char *name, struct ferry_slice text);
void ferry_console_add_number(struct ferry_buffer *out, const char *name, int64_t number);
/* A moment of the wall clock; null for 0 and before. */
void ferry_console_add_moment(struct ferry_buffer *out, const char *name, int64_t wall_ms);
void ferry_console_add_flag(struct ferry_buffer *out, const char *name, bool flag);
/* '{' or '[' as a member, and its end. */
void ferry_console_open(struct ferry_buffer *out, const char *name, char bracket);
void ferry_console_close(struct ferry_buffer *out, char bracket);

#endif
