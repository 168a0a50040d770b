// The main function of ferrule_tests; options as in `ferrule_tests --help`.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
