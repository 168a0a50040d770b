/* What is in a picture? Plain C:
 *
 *   classify classifier.fer picture.ppm
 *
 * The model takes one picture as large as its file says, and gives a logit for
 * each class. The names of the classes are in the file, too. */
#include <ferrule/ferrule.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "image.h"

/* Line `index` of a text of names; prints "class N" where there is none. */
static void print_name(const char* names, int64_t index) {
  for (int64_t i = 0; names && i < index; ++i) {
    names = strchr(names, '\n');
    if (names) ++names;
  }
  if (names) {
    printf("%.*s", (int)strcspn(names, "\n"), names);
  } else {
    printf("class %d", (int)index);
  }
}

static fer_status classify(fer_model model, fer_session session,
                           const char* path) {
  fer_value_info info = {.struct_size = sizeof info};
  fer_status status = fer_model_input(model, "forward", 0, &info);
  if (status != FER_OK) return status;
  /* The number of pictures is free (-1); height and width are not. */
  const int64_t shape[] = {1, 3, info.shape[2], info.shape[3]};
  const size_t bytes = sizeof(float) * (size_t)(3 * shape[2] * shape[3]);
  float* pixels = malloc(bytes);
  if (!pixels || read_ppm(path, shape[2], shape[3], pixels) != 0) {
    fprintf(stderr, "%s is no PPM picture of %d x %d\n", path, (int)shape[3],
            (int)shape[2]);
    free(pixels);
    return FER_ERROR_VALUE;
  }
  const fer_buffer x = {sizeof x, FER_F32, 4, shape, pixels, bytes};
  fer_buffer logits = {.struct_size = sizeof logits}; /* lent by the session */
  status = fer_session_run(session, "forward", &x, 1, &logits, 1);
  free(pixels);
  if (status != FER_OK) return status;
  const float* values = logits.data;
  int64_t best = 0;
  for (int64_t i = 1; i < logits.shape[1]; ++i) {
    if (values[i] > values[best]) best = i;
  }
  print_name(fer_model_metadata(model, "classes"), best);
  printf(" %.9g\n", values[best]);
  return FER_OK;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: classify MODEL.fer PICTURE.ppm\n");
    return 2;
  }
  fer_model model = NULL;
  fer_session session = NULL;
  fer_status status = fer_model_open(argv[1], NULL, &model);
  if (status == FER_OK) status = fer_session_create(model, NULL, &session);
  if (status == FER_OK) status = classify(model, session, argv[2]);
  if (status != FER_OK) fprintf(stderr, "%s\n", fer_last_error());
  fer_session_free(session);
  fer_model_free(model);
  return status == FER_OK ? 0 : 1;
}
