// The bytes of an opened model file, mapped or copied, and which of its blobs
// have been checked against their checksums.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ferrule/tensor.h"

namespace ferrule {

class FileSource {
 public:
  // Maps the file read-only. Writers replace files by renaming, so the mapping
  // keeps seeing the file that was opened.
  static std::shared_ptr<FileSource> map(const std::string& path);
  static std::shared_ptr<FileSource> copy(std::span<const std::byte> bytes);
  ~FileSource();
  FileSource(const FileSource&) = delete;

  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

  // The metadata have been read; weights come next, from begin to end.
  void expect_weights() const;

  // Checksums of the constants, in order; set once by the reader.
  void set_checksums(std::vector<uint32_t> crcs);
  // Compares constant `index` with its checksum, the first time it is asked.
  // Throws FormatError that names it. Thread-safe.
  void check(size_t index, const std::string& name, const Tensor& data) const;
  // `data`, in a mapped file, is about to be read.
  void fetch(const TensorImpl& data) const;
  // The system may take back the memory of whole pages of `data` if it is in a
  // mapped file: who reads them again gets them from there.
  void release_pages(const TensorImpl& data) const;

 private:
  FileSource() = default;
  // For the pages of `data`: those that it shares (`parts`), too, or not.
  void advise(const TensorImpl& data, bool parts, int advice) const;

  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  bool mapped_ = false;
  std::vector<uint32_t> crcs_;
  mutable std::unique_ptr<std::atomic<bool>[]> checked_;
};

// Compares a blob of a file with its checksum, and that bools are 0 or 1.
void check_blob(const std::string& name, const Tensor& data, uint32_t crc);

// A tensor that looks into the file and keeps it alive.
Tensor tensor_in(const std::shared_ptr<const FileSource>& source,
                 uint64_t offset, std::span<const int64_t> shape, DType dtype);

// "[name] " of errors about the file at `path`.
std::string file_tag(const std::string& path);

}  // namespace ferrule
