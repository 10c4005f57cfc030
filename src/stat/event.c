/* SPDX-License-Identifier: BSD-2-Clause */
/* Events to the ring and the host's sink, and the names of events and of reasons to close. */
#include "stat/event.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/stats.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"

/* A text that was cut to `room` (with the end) ends with a whole character of UTF-8. */
static void copy_whole(char *to, size_t room, const char *from)
{
	size_t n = strnlen(from, room);

	if (n == room)
		for (n--; n && ((unsigned char)from[n] & 0xc0) == 0x80;)
			n--;
	memcpy(to, from, n);
	memset(to + n, 0, room - n);
}

static uint64_t remember(struct wi_ring *ring, const weir_event *event)
{
	struct wi_told told = {
		.at_ns = event->at_ns, .wall_ns = wi_wall_ns(), .kind = (uint32_t)event->kind};

	copy_whole(told.host, sizeof(told.host), event->host);
	copy_whole(told.text, sizeof(told.text), event->text);
	return wi_ring_add(ring, &told);
}

void wi_event_note(struct wi_ring *ring, weir_event *event)
{
	event->sequence = remember(ring, event);
}

WI_COLD void wi_event_tell(struct wi_ring *ring, const weir_options *options, int64_t at_ns,
                           weir_event_kind kind, const char *host, const char *format, ...)
{
	char words[WEIR_ERROR_TEXT], line[WEIR_ERROR_TEXT];
	weir_event event = {.kind = kind, .at_ns = at_ns, .host = host ? host : "", .text = line};
	va_list args;

	va_start(args, format);
	if (vsnprintf(words, sizeof(words), format, args) < 0)
		words[0] = '\0';
	va_end(args);
	wi_copy_clean(line, sizeof(line), words, NULL);
	wi_event_note(ring, &event);
	if (options->on_event)
		options->on_event(options->on_event_arg, &event);
}

const char *weir_event_name(weir_event_kind kind)
{
	switch (kind) {
#define NAME(name, text)                                                                           \
	case WEIR_EVENT_##name:                                                                    \
		return #name;
		WEIR_EVENT_MAP(NAME)
#undef NAME
	case WEIR_EVENT_KINDS:
		break;
	}
	return "UNKNOWN";
}

const char *wi_event_text(weir_event_kind kind)
{
	switch (kind) {
#define TEXT(name, text)                                                                           \
	case WEIR_EVENT_##name:                                                                    \
		return text;
		WEIR_EVENT_MAP(TEXT)
#undef TEXT
	case WEIR_EVENT_KINDS:
		break;
	}
	return "unknown event";
}

const char *weir_close_name(weir_close reason)
{
	switch (reason) {
#define NAME(name, text)                                                                           \
	case WEIR_CLOSE_##name:                                                                    \
		return #name;
		WEIR_CLOSE_MAP(NAME)
#undef NAME
	case WEIR_CLOSE_REASONS:
		break;
	}
	return "UNKNOWN";
}

const char *weir_close_text(weir_close reason)
{
	switch (reason) {
#define TEXT(name, text)                                                                           \
	case WEIR_CLOSE_##name:                                                                    \
		return text;
		WEIR_CLOSE_MAP(TEXT)
#undef TEXT
	case WEIR_CLOSE_REASONS:
		break;
	}
	return "unknown reason";
}

const char *weir_connect_name(weir_connect failed_of)
{
	switch (failed_of) {
#define NAME(name, text)                                                                           \
	case WEIR_CONNECT_##name:                                                                  \
		return #name;
		WEIR_CONNECT_MAP(NAME)
#undef NAME
	case WEIR_CONNECT_CLASSES:
		break;
	}
	return "UNKNOWN";
}

const char *weir_connect_text(weir_connect failed_of)
{
	switch (failed_of) {
#define TEXT(name, text)                                                                           \
	case WEIR_CONNECT_##name:                                                                  \
		return text;
		WEIR_CONNECT_MAP(TEXT)
#undef TEXT
	case WEIR_CONNECT_CLASSES:
		break;
	}
	return "unknown class";
}
