// A stretch of a segment read back from disk, for followers and readers that are behind the tail in
// memory. Direct reads, one at a time per window; a window is refilled only when nothing that was
// sent from it is still on its way.
#pragma once

#include <cstdint>
#include <span>
#include <string>

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
    /// The stretch is there, or `error` (errno) says why not.
    virtual void on_read(ReadWindow& window, int error) = 0;
  };

  /// `window_bytes` are read at least, more for a larger record.
  ReadWindow(io::Io& io, FileSteps& files, std::size_t window_bytes, Events& events);

  /// Reads the stretch that begins with the record at `location`. What lies in chunks above
  /// `written` may not be on the disk yet and is not found in what is read now.
  /// Precondition: idle().
  void start(const segments::Location& location, ChunkSeq written);

  /// The last read was for this record, ended well, and did not find it.
  [[nodiscard]] bool tried(const segments::Location& location) const;

  /// No read is under way and nothing refers to the bytes.
  [[nodiscard]] bool idle() const { return !reading() && references == 0; }
  [[nodiscard]] bool reading() const { return opened_.pending() || done_.pending(); }

  /// The record's bytes, if they are in the window.
  [[nodiscard]] std::span<const std::byte> find(const segments::Location& location) const;

  /// How many slices of sends point into the window.
  std::uint32_t references = 0;

 private:
  void on_opened(std::int32_t result);
  void on_done(std::int32_t result);
  void read_on();

  io::Io& io_;
  FileSteps& files_;
  std::size_t window_bytes_;
  Events& events_;
  io::Completion opened_{io::Completion::bind<&ReadWindow::on_opened>(this)};
  io::Completion done_{io::Completion::bind<&ReadWindow::on_done>(this)};
  io::AlignedBuffer buffer_;  // made at the first use
  std::string path_;
  Epoch epoch_;
  segments::Location location_;
  ChunkSeq written_;
  bool ended_well_ = false;
  std::uint64_t begin_ = 0;  // in the segment
  std::size_t wanted_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace sluice::shard
