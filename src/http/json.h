/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Documents by Jansson, put together so that want of memory shows at the end: what cannot be made
 * is NULL, an object that is given NULL lacks that member, and the whole then is refused.
 */
#ifndef WI_HTTP_JSON_H
#define WI_HTTP_JSON_H

#include <jansson.h>

#include "http/http.h"

/* A document in the making; broken: something did not fit into memory. */
struct wi_json {
	json_t *root;
	bool broken;
};

/* A text; bytes that are no UTF-8, as a server with another encoding says them, become "?". */
json_t *wi_json_text_of(const char *text);

/* Adds a member; `value` is given away, and may be NULL. */
void wi_json_set(struct wi_json *j, json_t *object, const char *name, json_t *value);
void wi_json_add(struct wi_json *j, json_t *array, json_t *value);

/* The same for texts, numbers and truths. */
void wi_json_text(struct wi_json *j, json_t *object, const char *name, const char *text);
void wi_json_number(struct wi_json *j, json_t *object, const char *name, int64_t number);
void wi_json_true(struct wi_json *j, json_t *object, const char *name, bool truth);

/* A new object or array as a member or an item; belongs to the document. */
json_t *wi_json_object(struct wi_json *j, json_t *object, const char *name);
json_t *wi_json_array(struct wi_json *j, json_t *object, const char *name);
json_t *wi_json_item(struct wi_json *j, json_t *array);

/* The document as text, and its end. */
void wi_json_end(struct wi_json *j, struct wi_body *body, unsigned code);

#endif
