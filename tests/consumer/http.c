/* SPDX-License-Identifier: BSD-2-Clause */
/* A program outside the tree that uses libweir-http as it was installed. */
#include <stdio.h>

#include <weir/http.h>

int main(void)
{
	weir_http_settings settings = {.size = sizeof(settings)};
	weir_http *http = NULL;
	weir_error error;

	if (weir_http_start(&settings, &http, &error) != WEIR_INVALID || http) {
		fprintf(stderr, "consumer: HTTP with nothing to show was taken\n");
		return 1;
	}
	weir_http_stop(&http);
	return 0;
}
