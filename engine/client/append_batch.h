// Entries on their way into one group: what the caller wants to know about each, and the bytes of
// the batch that carries them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/client/buffer_pool.h"
#include "engine/client/intrusive_list.h"
#include "wire/batch.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::client {

struct Lane;

/// One append() of the caller.
struct PendingEntry {
  std::uint64_t tag = 0;
  std::uint64_t deadline_ns = 0;
  std::uint32_t timeout_ms = 0;
  Errc code = Errc::kOk;      // why it was refused last; kOk: it never was
  bool reported : 1 = false;  // the caller has its outcome
  /// Nothing more can be learned or done about it. An entry that timed out with a producer is
  /// reported but not resolved: it is sent again in its place, so that no gap opens before those
  /// that follow.
  bool resolved : 1 = false;
  bool answered : 1 = false;      // in the present transmission
  bool ever_unknown : 1 = false;  // sent once without an answer: never "refused" any more
};

class AppendBatch {
 public:
  enum class State : std::uint8_t {
    kUnsent,
    kInFlight,  // handed to a connection; `unanswered` entries wait for their result
    kHeld,      // answered, to be sent again once its lane has drained
  };

  Link<AppendBatch> link;  // in its lane
  Lane* lane = nullptr;    // nullptr: free, or dropped while a send still reads its bytes
  State state = State::kUnsent;
  std::vector<PendingEntry> entries;
  std::uint32_t unanswered = 0;       // in the present transmission
  std::uint32_t unreported = 0;       // entries that the caller still waits for
  std::uint32_t unresolved = 0;       // entries that are worth sending
  std::uint64_t deadline_min_ns = 0;  // no unreported entry's deadline is earlier
  std::uint64_t request_id = 0;       // of the present transmission
  std::uint64_t sent_ns = 0;          // likewise
  std::uint64_t opened_ns = 0;        // when it got its first entry
  std::uint64_t former_id = 0;   // of one before it that was not waited for to the end; 0: none
  std::uint64_t load_bytes = 0;  // of its entries, as they are sent
  std::uint32_t sends = 0;       // that read its bytes at this moment

  /// Starts a batch in an empty object, with memory for about `size_hint_bytes`.
  void open(BufferPool& buffers, const BatchBuilder::Options& options, std::size_t size_hint_bytes,
            std::size_t size_bytes_max);
  /// Adds an entry. False: the batch is full, or sealed.
  [[nodiscard]] bool append(BufferPool& buffers, std::span<const std::byte> data,
                            const PendingEntry& entry);
  /// Finishes the bytes, in the name of `cluster`. No-op if that was done before.
  void seal(ClusterId cluster);
  /// Gives the memory back and empties the object.
  void reset(BufferPool& buffers);

  [[nodiscard]] bool sealed() const { return !builder_.has_value(); }
  /// Precondition: sealed.
  [[nodiscard]] std::span<const std::byte> bytes() const { return view_.bytes(); }
  [[nodiscard]] std::size_t size_bytes() const {
    return sealed() ? view_.bytes().size() : builder_->size_bytes();
  }
  [[nodiscard]] Sequence sequence_of(std::size_t entry) const {
    return options_.first_sequence + entry;
  }
  [[nodiscard]] Sequence next_sequence() const { return sequence_of(entries.size()); }
  [[nodiscard]] const BatchBuilder::Options& options() const { return options_; }

  /// Calls visit(number, bytes) for each entry, sealed or not.
  template <class F>
  void for_each_entry(F&& visit) const {
    const std::byte* at = buffer_.memory.get() + kBatchHeaderBytes;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::span<const std::byte> data = entry_at(at);
      visit(i, data);
      at = data.data() + data.size();
    }
  }

 private:
  [[nodiscard]] static std::span<const std::byte> entry_at(const std::byte* at);
  bool grow(BufferPool& buffers, std::size_t entry_bytes);

  BatchBuilder::Options options_;
  Buffer buffer_;
  std::size_t size_bytes_max_ = 0;
  std::optional<BatchBuilder> builder_;  // until sealed
  BatchView view_;                       // once sealed
};

/// Batch objects, recycled with the memory of their bookkeeping.
class BatchPool {
 public:
  explicit BatchPool(std::uint64_t free_bytes_max) : buffers_(free_bytes_max) {}

  [[nodiscard]] BufferPool& buffers() { return buffers_; }
  [[nodiscard]] AppendBatch& acquire();
  void release(AppendBatch& batch);

 private:
  BufferPool buffers_;
  std::vector<std::unique_ptr<AppendBatch>> all_;
  std::vector<AppendBatch*> free_;
};

}  // namespace sluice::client
