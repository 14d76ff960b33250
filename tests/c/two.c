/* Two archives of the library in one program: their Rust runtimes must not clash. The second has other names. */
#include "check.h"

const char *second_version(void);
int32_t second_config_new(primacy_config **out);
int32_t second_config_free(primacy_config *config);
int32_t second_config_set(primacy_config *config, const char *key, const char *value);
int32_t second_last_error(char *buf, size_t len);

static void two_archives_live_in_one_program(void)
{
    primacy_config *first = NULL, *second = NULL;
    char text[256];

    CHECK(strcmp(primacy_version(), second_version()) == 0 && primacy_version != second_version);
    CHECK_CALL(0, primacy_config_new(&first));
    CHECK_CALL(0, second_config_new(&second));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_config_set(first, "first_key", "x"));
    CHECK(second_last_error(NULL, 0) == 0);
    CHECK(second_config_set(second, "second_key", "x") == PRIMACY_E_CONFIG);
    second_last_error(text, sizeof text);
    CHECK(strstr(text, "second_key") != NULL);
    CHECK(check_error_says("first_key"));
    CHECK_CALL(0, primacy_config_free(first));
    CHECK(second_config_free(second) == 0);
}

int main(void)
{
    RUN(two_archives_live_in_one_program);
    return check_failures;
}
