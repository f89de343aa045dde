// Records of a segment read back from disk, for followers and readers that are behind the tail in
// memory. Direct reads; a window is refilled only when nothing that was sent from it is still on its
// way.
//
// Records that are read one after the other may lie next to each other, or, in a segment that many
// groups share, far apart. So a read is planned: stretches that hold what is wanted, with little in
// between, all read at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/io/buffer.h"
#include "engine/io/io.h"
#include "engine/shard/file_steps.h"
#include "segments/record.h"

namespace sluice::shard {

/// Errors of an open that pass: no descriptors, no memory (S51).
[[nodiscard]] bool is_passing(int error);

class ReadWindow {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    /// What was planned is there, or `error` (errno) says why not.
    virtual void on_read(ReadWindow& window, int error) = 0;
  };

  /// Holds `window_bytes`, more for a larger record.
  ReadWindow(io::Io& io, FileSteps& files, std::size_t window_bytes, Events& events);

  /// Begins a plan: to read the record at `first`. What lies in chunks above `written` may not be on
  /// the disk yet and is not found in what is read now.
  /// Precondition: idle().
  void plan(const segments::Location& first, ChunkSeq written);
  /// Adds a record that follows in the same segment. False: not this one; the plan is complete.
  [[nodiscard]] bool add(const segments::Location& next);
  /// Instead of adding: everything that follows the first record, as far as the window reaches.
  void add_what_follows();
  /// After add_what_follows(), of one record after the other: is it read whole anyway? The first that
  /// the end would cut off is completed: it would be read again as the first of the next plan.
  [[nodiscard]] bool complete(const segments::Location& next);
  [[nodiscard]] std::size_t planned_bytes() const { return planned_bytes_; }
  /// Reads what was planned.
  void start();

  /// The last plan began with this record, its reads ended well, and it is not there.
  [[nodiscard]] bool tried(const segments::Location& location) const;

  /// No read is under way and nothing refers to the bytes.
  [[nodiscard]] bool idle() const { return !reading() && references == 0; }
  [[nodiscard]] bool reading() const { return opened_.pending() || reads_inflight_ > 0; }

  /// The record's bytes, if they are in the window.
  [[nodiscard]] std::span<const std::byte> find(const segments::Location& location) const;

  /// How many slices of sends point into the window.
  std::uint32_t references = 0;

 private:
  /// A part of the segment, and where it lies in the buffer.
  struct Stretch {
    explicit Stretch(ReadWindow* window)
        : owner(window), completion(io::Completion::bind<&Stretch::on_done>(this)) {}
    void on_done(std::int32_t result) { owner->on_done(*this, result); }
    [[nodiscard]] std::uint64_t end() const { return begin + wanted; }

    ReadWindow* owner;
    io::Completion completion;
    std::uint64_t begin = 0;  // in the segment
    std::size_t wanted = 0, filled = 0;
    std::size_t place = 0;  // in the buffer
  };

  void on_opened(std::int32_t result);
  void on_done(Stretch& stretch, std::int32_t result);
  void read_all();
  void read_on(Stretch& stretch, io::Handle file);
  void end(int error);
  Stretch& new_stretch(std::uint64_t begin, std::uint64_t end);

  io::Io& io_;
  FileSteps& files_;
  std::size_t window_bytes_;
  Events& events_;
  io::Completion opened_{io::Completion::bind<&ReadWindow::on_opened>(this)};
  io::AlignedBuffer buffer_;  // made at the first use
  std::string path_;
  Epoch epoch_;
  segments::Location first_;
  ChunkSeq written_;
  bool ended_well_ = false;
  int error_ = 0;

  std::vector<std::unique_ptr<Stretch>> stretches_;  // made on demand, used again
  std::size_t stretch_count_ = 0;                    // of the plan
  std::size_t planned_bytes_ = 0;
  std::uint32_t reads_inflight_ = 0;
};

}  // namespace sluice::shard
