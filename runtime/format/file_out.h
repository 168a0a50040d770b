// Replaces a file as a whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ferrule {

// Writes to a temporary file in the same folder; commit() flushes it to disk
// and renames it. Without commit nothing is left behind, unless the process is
// killed (docs/format.md).
class FileOut {
 public:
  explicit FileOut(const std::string& path);
  ~FileOut();
  FileOut(const FileOut&) = delete;

  void write(const void* data, uint64_t size);
  void pad_to(uint64_t offset);  // with zeros
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace ferrule
