// Maps model files into memory.
#include "runtime/format/source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ferrule/error.h"
#include "runtime/core/allocator.h"
#include "runtime/core/crc32c.h"

namespace ferrule {
namespace {

// What is read at once when a file is opened: more than most models' metadata.
constexpr uint64_t kHead = uint64_t{1} << 20;

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

void drop_source(void* context) {
  delete static_cast<std::shared_ptr<const FileSource>*>(context);
}

}  // namespace

std::shared_ptr<FileSource> FileSource::map(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    fail<FormatError>("cannot open the file: ", std::strerror(errno));
  }
  struct stat info;
  if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    fail<FormatError>("not a regular file");
  }
  std::shared_ptr<FileSource> source(new FileSource);
  source->size_ = static_cast<uint64_t>(info.st_size);
  if (source->size_ == 0) fail<FormatError>("the file is empty");
  if (source->size_ > SIZE_MAX / 2) {
    fail<FormatError>("too large for this machine: ", source->size_, " bytes");
  }
  void* p = ::mmap(nullptr, source->size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (p == MAP_FAILED) {
    fail<FormatError>("cannot map ", source->size_,
                      " bytes: ", std::strerror(errno));
  }
  source->data_ = static_cast<std::byte*>(p);
  source->mapped_ = true;
  // Metadata come first. Without this a disk with a long read-ahead would read
  // megabytes of weights before the first byte is here.
  ::madvise(p, source->size_, MADV_RANDOM);
  ::madvise(p, std::min(source->size_, kHead), MADV_WILLNEED);
  return source;
}

void FileSource::expect_weights() const {
  if (mapped_) ::madvise(data_, size_, MADV_NORMAL);
}

std::shared_ptr<FileSource> FileSource::copy(std::span<const std::byte> bytes) {
  std::shared_ptr<FileSource> source(new FileSource);
  if (bytes.empty()) fail<FormatError>("the file is empty");
  void* p = data_alloc(static_cast<int64_t>(bytes.size()));
  if (!p) fail<MemoryError>("out of memory: cannot copy the model");
  std::memcpy(p, bytes.data(), bytes.size());
  source->data_ = static_cast<std::byte*>(p);
  source->size_ = bytes.size();
  return source;
}

FileSource::~FileSource() {
  if (mapped_) {
    ::munmap(data_, size_);
  } else if (data_) {
    data_free(data_, static_cast<int64_t>(size_));
  }
}

void FileSource::set_checksums(std::vector<uint32_t> crcs) {
  crcs_ = std::move(crcs);
  checked_ = std::make_unique<std::atomic<bool>[]>(crcs_.size());
}

void FileSource::check(size_t index, const std::string& name,
                       const Tensor& data) const {
  if (checked_[index].load(std::memory_order_relaxed)) return;
  check_blob(name, data, crcs_[index]);
  checked_[index].store(true, std::memory_order_relaxed);
}

void FileSource::advise(const TensorImpl& data, bool parts, int advice) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(data.bytes());
  const auto last = first + static_cast<uintptr_t>(data.nbytes());
  const uintptr_t begin = (parts ? first : first + page - 1) / page * page;
  const uintptr_t end = (parts ? last + page - 1 : last) / page * page;
  const auto map = reinterpret_cast<uintptr_t>(data_);
  if (!mapped_ || begin >= end || first < map || last > map + size_) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

void FileSource::fetch(const TensorImpl& data) const {
  advise(data, true, MADV_WILLNEED);
}

void FileSource::release_pages(const TensorImpl& data) const {
  advise(data, false, MADV_DONTNEED);
}

void check_blob(const std::string& name, const Tensor& data, uint32_t crc) {
  const size_t bytes = static_cast<size_t>(data->nbytes());
  if (crc32c(data->bytes(), bytes) != crc) {
    fail<FormatError>("the data of '", name,
                      "' is damaged: its checksum does not match");
  }
  if (data.dtype() != DType::bool_) return;
  for (size_t i = 0; i < bytes; ++i) {
    if (static_cast<unsigned char>(data->bytes()[i]) > 1) {
      fail<FormatError>("element ", i, " of '", name, "' is not a bool");
    }
  }
}

Tensor tensor_in(const std::shared_ptr<const FileSource>& source,
                 uint64_t offset, std::span<const int64_t> shape, DType dtype) {
  auto* keep = new std::shared_ptr<const FileSource>(source);
  return Tensor::wrap(const_cast<std::byte*>(source->data()) + offset, shape,
                      contiguous_strides(shape), dtype, {}, drop_source, keep);
}

std::string file_tag(const std::string& path) {
  const size_t slash = path.rfind('/');
  return concat("[", slash == std::string::npos ? path : path.substr(slash + 1),
                "] ");
}

}  // namespace ferrule
