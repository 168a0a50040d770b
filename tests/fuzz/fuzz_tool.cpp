// Fuzzer of the command line of `ferrule` (tools/fuzz tool): an argument a
// line. Whatever they are, it ends with one of its exit codes. It runs in a
// folder of its own with a few files, and reaches no other.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "ferrule/ferrule.h"
#include "runtime/tool/args.h"
#include "runtime/tool/npy.h"
#include "tests/cpp/file_mutations.h"

using namespace ferrule;

int ferrule_main(int argc, char** argv);  // runtime/tool/main.cpp

namespace {

constexpr size_t kMaxArguments = 24;

void write(const char* path, const test::Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

// linear.fer, training.fer, image.fer, control.fer and an input of the first.
void enter_folder() {
  std::string folder =
      std::filesystem::temp_directory_path() / "ferrule-XXXXXX";
  if (!::mkdtemp(folder.data())) std::abort();
  static const std::filesystem::path entered = folder;
  std::atexit([] {
    std::error_code failure;
    std::filesystem::remove_all(entered, failure);
  });
  std::filesystem::current_path(entered);
  const char* const names[] = {"linear.fer", "training.fer", "image.fer",
                               "control.fer"};
  const std::vector<test::Bytes> files = test::seed_files();
  for (size_t i = 0; i < files.size(); ++i) write(names[i], files[i]);
  Tensor x = Tensor::empty({2, 3}, DType::f32);
  for (int i = 0; i < 6; ++i) x.data<float>()[i] = static_cast<float>(i);
  tool::write_npy("x.npy", x);
}

std::vector<std::string> arguments_of(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty() && arguments.size() < kMaxArguments) {
    const size_t end = text.find('\n');
    arguments.emplace_back(text.substr(0, end));
    text = end == text.npos ? "" : text.substr(end + 1);
  }
  return arguments;
}

bool leaves_folder(const std::string& argument) {
  return argument.find('/') != argument.npos ||
         argument.find('\0') != argument.npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool entered = (enter_folder(), true);
  (void)entered;
  std::vector<std::string> arguments =
      arguments_of({reinterpret_cast<const char*>(data), size});
  std::vector<char*> argv{const_cast<char*>("ferrule")};
  for (std::string& a : arguments) {
    if (leaves_folder(a)) return -1;
    argv.push_back(a.data());
  }
  argv.push_back(nullptr);
  const int code = ferrule_main(static_cast<int>(argv.size()) - 1, argv.data());
  if (code < tool::kSuccess || code > tool::kError) {
    std::fprintf(stderr, "exit code %d\n", code);
    std::abort();
  }
  return 0;
}
