// The deployed runtime from C++: `from_cpp [MODEL.fer]`. A missing file throws;
// a model that is given is opened and tests itself by its samples.
#include <ferrule/model.hpp>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "no such file.fer";
  try {
    fe::Model model(path);
    model.session().check_samples();
    for (const std::string& name : model.signatures()) {
      std::printf("%s\n", name.c_str());
    }
    return argc > 1 ? 0 : 1;
  } catch (const fe::Error& error) {
    std::printf("%s\n", error.what());
    const bool named =
        std::string(error.what()).find(path) != std::string::npos;
    return argc == 1 && named ? 0 : 1;
  }
}
