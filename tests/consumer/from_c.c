/* The deployed runtime from C: `from_c [MODEL.fer]`. A missing file is an error
 * with a text; a model that is given is opened and tests itself by its samples.
 */
#include <ferrule/ferrule.h>
#include <stdio.h>
#include <string.h>

static int run(const char* path) {
  fer_model model = NULL;
  fer_session session = NULL;
  fer_status status = fer_model_open(path, NULL, &model);
  if (status == FER_OK) status = fer_session_create(model, NULL, &session);
  if (status == FER_OK) status = fer_session_check(session);
  if (status != FER_OK) fprintf(stderr, "%s\n", fer_last_error());
  fer_session_free(session);
  fer_model_free(model);
  return status == FER_OK ? 0 : 1;
}

int main(int argc, char** argv) {
  fer_model model = NULL;
  printf("ferrule %s\n", fer_version());
  if (argc > 1) return run(argv[1]);
  if (fer_model_open("no such file.fer", NULL, &model) == FER_OK) return 1;
  printf("%s\n", fer_last_error());
  return strstr(fer_last_error(), "no such file.fer") == NULL;
}
