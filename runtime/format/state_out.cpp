// Saves trained state with the metadata of the file that was opened: no writer
// is needed, so the deployed runtime can do it.
#include "runtime/format/state_out.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/crc32c.h"
#include "runtime/format/container.h"
#include "runtime/format/file_out.h"
#include "runtime/format/model_generated.h"
#include "runtime/format/source.h"

namespace ferrule {
namespace {

struct Piece {
  uint64_t offset;  // in the file
  const Tensor* data;
};

// Metadata that can be changed in place. Every string, vector and table was
// checked when the file was opened.
class StateWriter {
 public:
  StateWriter(const FileSource& source)
      : header_(file::parse_header(source.data(), source.size())),
        metadata_(source.data(), source.data() + header_.metadata_size),
        model_(::flatbuffers::GetMutableRoot<file::Model>(metadata_.data())) {}

  void set_rng(uint64_t seed, uint64_t offset) {
    model_->mutable_rng()->mutate_seed(seed);
    model_->mutable_rng()->mutate_offset(offset);
  }

  void set_constants(std::span<const Tensor> constants) {
    for (size_t i = 0; i < constants.size(); ++i) {
      set(model_->mutable_constants()->GetMutableObject(i)->mutable_data(),
          constants[i]);
    }
  }

  void set_goldens(const std::vector<Golden>& goldens) {
    for (size_t i = 0; i < goldens.size(); ++i) {
      file::Golden* g = model_->mutable_goldens()->GetMutableObject(i);
      for (size_t k = 0; k < goldens[i].inputs.size(); ++k) {
        set(g->mutable_inputs()->GetMutableObject(k), goldens[i].inputs[k]);
      }
      for (size_t k = 0; k < goldens[i].outputs.size(); ++k) {
        set(g->mutable_outputs()->GetMutableObject(k), goldens[i].outputs[k]);
      }
    }
  }

  void write(const std::string& path) {
    file::write_header(metadata_.data(), header_);
    std::sort(
        pieces_.begin(), pieces_.end(),
        [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
    FileOut out(path);
    out.write(metadata_.data(), metadata_.size());
    for (const Piece& p : pieces_) {
      out.pad_to(p.offset);
      out.write((*p.data)->bytes(), static_cast<uint64_t>((*p.data)->nbytes()));
    }
    out.pad_to(header_.data_offset + header_.data_size);
    out.commit();
  }

 private:
  void set(file::Blob* blob, const Tensor& t) {
    file::Extent* extent = blob->mutable_extent();
    const uint64_t segment =
        model_->segments()->Get(extent->segment())->offset();
    extent->mutate_crc32c(crc32c(t->bytes(), static_cast<size_t>(t->nbytes())));
    pieces_.push_back({header_.data_offset + segment + extent->offset(), &t});
  }

  file::Header header_;
  std::vector<std::byte> metadata_;
  file::Model* model_;
  std::vector<Piece> pieces_;
};

}  // namespace

void write_state(const Program& program, std::span<const Tensor> constants,
                 const std::vector<Golden>& goldens, uint64_t rng_seed,
                 uint64_t rng_offset, const std::string& path) {
  StateWriter writer(*program.source);
  writer.set_rng(rng_seed, rng_offset);
  writer.set_constants(constants);
  writer.set_goldens(goldens);
  writer.write(path);
}

}  // namespace ferrule
