/* Reads a binary PPM picture ("P6", one byte a channel), for the examples. */
#ifndef FERRULE_EXAMPLES_IMAGE_H_
#define FERRULE_EXAMPLES_IMAGE_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Fills `pixels`, 3 x height x width, with numbers in 0..1. Returns 0, or -1
 * when the file is no such picture or of another size. */
static inline int read_ppm(const char* path, int64_t height, int64_t width,
                           float* pixels) {
  FILE* file = fopen(path, "rb");
  if (!file) return -1;
  int w = 0, h = 0, max = 0;
  int good = fscanf(file, "P6 %d %d %d", &w, &h, &max) == 3 && max == 255 &&
             fgetc(file) != EOF && w == width && h == height;
  for (int64_t i = 0; good && i < height * width; ++i) {
    for (int64_t channel = 0; channel < 3; ++channel) {
      const int byte = fgetc(file);
      good = good && byte != EOF;
      pixels[channel * height * width + i] = (float)byte / 255.0f;
    }
  }
  fclose(file);
  return good ? 0 : -1;
}

#endif
