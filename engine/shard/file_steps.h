// Does on disk what SegmentLog asks for, one step at a time: prepares the next segment, retires old
// ones. Owns the open files of the segments.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/buffer.h"
#include "engine/io/io.h"
#include "segments/segment_log.h"
#include "wire/ids.h"

namespace sluice::shard {

class FileSteps {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    /// A step is done; a segment may be ready now.
    virtual void on_step_done() = 0;
    /// A file operation failed for good: the node must stop (S35).
    virtual void on_step_failed(const std::string& what, int error) = 0;
  };

  /// `directory` is the shard's, without a slash at its end. `io`, `log`, `events` outlive this.
  /// `direct`: with O_DIRECT, where the filesystem has it.
  FileSteps(io::Io& io, std::string directory, bool direct, segments::SegmentLog& log,
            Events& events);
  ~FileSteps();

  /// Begins the next step if none is under way and one is due.
  void pump();

  /// Zeros for the next segment go to the disk beside the commits, so they go at the commits' pace:
  /// so many more bytes of them may be written now. All at once they would hold up every commit of
  /// the time that it takes.
  void grant_zeros(std::uint64_t size_bytes);
  [[nodiscard]] bool zeros_wait() const { return zeros_wait_; }
  /// Whether somebody waits for the segment: its zeros are then written as fast as the disk takes
  /// them.
  void hurry(bool wanted);
  /// The segment is needed sooner than its zeros are written, or they are not worth it: what is still
  /// without them is left as the filesystem allocated it. (A disk at its limit writes half as much if each
  /// byte is preceded by a zero, and the log stands still for the zeros of half a segment.) Where it
  /// cannot allocate, nothing is left out.
  void skip_zeros();

  /// Once per tick: tries again what lacked descriptors, closes what was retired.
  void tick();

  [[nodiscard]] bool in_flight() const { return done_.pending() || opened_.pending(); }
  /// Operations that ended so far: a long step (zeros for a whole segment) is many.
  [[nodiscard]] std::uint64_t completions() const { return completions_; }
  [[nodiscard]] std::uint64_t zeros_written() const { return zeros_written_; }  // bytes, so far
  /// No further operation is begun.
  void stop() { stopping_ = true; }

  /// The open file of a segment; kNone if it was not opened yet.
  [[nodiscard]] io::Handle file(Epoch epoch) const;
  /// Takes over a file that was opened elsewhere (a reader's).
  void adopt(Epoch epoch, io::Handle file);
  [[nodiscard]] std::string path(const std::string& name) const;
  [[nodiscard]] bool direct() const { return direct_; }

 private:
  void begin();
  void on_done(std::int32_t result);
  void on_opened(std::int32_t result);
  void continue_zero_fill();
  void finish();
  void fail(int error);
  void close_step_file();
  void retire_file(Epoch epoch);

  io::Io& io_;
  std::string directory_;
  bool direct_;
  segments::SegmentLog& log_;
  Events& events_;
  io::Completion done_{io::Completion::bind<&FileSteps::on_done>(this)};
  io::Completion opened_{io::Completion::bind<&FileSteps::on_opened>(this)};

  std::optional<segments::FileStep> step_;
  std::string from_path_, to_path_;  // live while the step is under way
  std::string step_file_name_;       // the file that step_file_ is
  io::Handle step_file_ = io::Handle::kNone;
  io::Handle directory_file_ = io::Handle::kNone;
  std::uint64_t zero_filled_ = 0;  // of the current kZeroFill
  std::uint64_t zeros_granted_ = 0;
  std::uint64_t zeros_written_ = 0;
  bool zeros_wait_ = false;  // for a grant
  bool hurry_ = false;
  bool can_allocate_ = true;
  bool skip_zeros_ = false;  // of the current kZeroFill
  bool opening_directory_ = false;
  bool stopping_ = false;
  bool retry_ = false;  // an open lacked descriptors or memory (S51)
  /// Files of retired segments, closed a tick later: a read may have been queued on them in the
  /// same round of the loop. Newest last.
  std::vector<io::Handle> retired_, retired_before_;
  io::AlignedBuffer zeros_, header_;
  std::map<Epoch, io::Handle> files_;
  std::uint64_t completions_ = 0;
};

}  // namespace sluice::shard
