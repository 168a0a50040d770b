// Atomic replacement of files.
#include "runtime/format/file_out.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ferrule/error.h"
#include "runtime/format/source.h"

namespace ferrule {
namespace {

[[noreturn]] void fail_write(const std::string& path, const char* what) {
  const char* why = std::strerror(errno);
  fail<FormatError>(file_tag(path), "cannot ", what, ": ", why);
}

// The permissions that open() would have given a new file.
mode_t new_file_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

// The rename itself must reach the disk too.
void sync_folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

FileOut::FileOut(const std::string& path)
    : path_(path), temporary_(path + ".XXXXXX") {
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) fail_write(path_, "create a file beside it");
}

FileOut::~FileOut() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void FileOut::write(const void* data, uint64_t size) {
  const char* p = static_cast<const char*>(data);
  size_ += size;
  while (size > 0) {
    const ssize_t n = ::write(fd_, p, std::min<uint64_t>(size, 1u << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_write(path_, "write");
    p += n;
    size -= static_cast<uint64_t>(n);
  }
}

void FileOut::pad_to(uint64_t offset) {
  static constexpr char kZeros[256] = {};  // gaps are short, or one a file
  while (size_ < offset) {
    write(kZeros, std::min<uint64_t>(sizeof kZeros, offset - size_));
  }
}

void FileOut::commit() {
  if (::fchmod(fd_, new_file_mode()) != 0 || ::fsync(fd_) != 0) {
    fail_write(path_, "flush");
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail_write(path_, "replace it");
  }
  ::close(fd_);
  fd_ = -1;
  sync_folder(path_);
}

}  // namespace ferrule
