/* SPDX-License-Identifier: BSD-2-Clause */
/* Documents by Jansson: json.h. */
#include <stdlib.h>
#include <string.h>

#include "http/json.h"

/* Seventeen digits, Jansson's own, make 1.771421 a 1.7714209999999999. */
#define FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

void wi_json_set(struct wi_json *j, json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) != 0)
		j->broken = true;
}

void wi_json_add(struct wi_json *j, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		j->broken = true;
}

json_t *wi_json_text_of(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value || !(copy = strdup(text)))
		return value;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

void wi_json_text(struct wi_json *j, json_t *object, const char *name, const char *text)
{
	wi_json_set(j, object, name, wi_json_text_of(text));
}

void wi_json_number(struct wi_json *j, json_t *object, const char *name, int64_t number)
{
	wi_json_set(j, object, name, json_integer(number));
}

void wi_json_true(struct wi_json *j, json_t *object, const char *name, bool truth)
{
	wi_json_set(j, object, name, json_boolean(truth));
}

json_t *wi_json_object(struct wi_json *j, json_t *object, const char *name)
{
	json_t *value = json_object();

	wi_json_set(j, object, name, value);
	return value;
}

json_t *wi_json_array(struct wi_json *j, json_t *object, const char *name)
{
	json_t *value = json_array();

	wi_json_set(j, object, name, value);
	return value;
}

json_t *wi_json_item(struct wi_json *j, json_t *array)
{
	json_t *value = json_object();

	wi_json_add(j, array, value);
	return value;
}

void wi_json_end(struct wi_json *j, struct wi_body *body, unsigned code)
{
	size_t length = j->broken ? 0 : json_dumpb(j->root, NULL, 0, FLAGS);

	body->code = code;
	body->type = "application/json";
	body->text = length ? malloc(length + 1) : NULL;
	if (body->text) {
		body->length = json_dumpb(j->root, body->text, length, FLAGS);
		body->text[body->length++] = '\n';
	}
	json_decref(j->root);
}
