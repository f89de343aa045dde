// The disk of one machine: what programs see, what a power failure leaves of it, and how it lies.
//
// Two images of everything: the current one (page cache and device cache: what reads see) and the
// durable one (what is left after a power failure). A write changes the current image when it
// completes; a durable write or a sync that began after it makes it durable. Names likewise, per
// directory: a new file's name is durable when its directory was synced.
//
// At a power failure each sector that is not durable, of writes that completed or were on their way,
// is kept, lost, torn or zeroed, each on its own; each change of a directory that was not synced is
// kept or lost on its own (a rename is one change). POSIX allows all of that; file systems do most of
// it (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
//
// No clock and no queue here: who drives it says when an operation begins and when it ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/io.h"
#include "tests/sim/random.h"

namespace sluice::sim {

/// How often an operation goes wrong, per million. All zero: an honest disk.
struct DiskFaults {
  std::uint32_t read_error = 0;       // EIO
  std::uint32_t write_error = 0;      // EIO, any part of it written
  std::uint32_t sync_error = 0;       // EIO, dirty pages dropped and forgotten: the next sync succeeds
  std::uint32_t short_transfer = 0;   // fewer bytes than asked, in reads and writes
  std::uint32_t misdirected_write = 0;  // to another place of the file
  std::uint32_t misdirected_read = 0;   // from another place of the file
  std::uint32_t flip_on_read = 0;       // one bit of what is read is wrong
  bool operator==(const DiskFaults&) const = default;
};

class Disk {
 public:
  using FileId = std::uint32_t;
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kSectorBytes = 512;

  explicit Disk(Random random);
  ~Disk();

  // --- names (results as of a system call: 0 or -errno) ---------------------------------------

  [[nodiscard]] std::int32_t make_directory(const std::string& path);
  /// The file's id, or -errno. Each open counts until close().
  [[nodiscard]] std::int32_t open(const std::string& path, io::OpenFlags flags);
  void close(FileId file);
  [[nodiscard]] std::int32_t rename(const std::string& from, const std::string& to);
  [[nodiscard]] std::int32_t unlink(const std::string& path);
  [[nodiscard]] std::optional<std::vector<std::string>> list(const std::string& path);
  [[nodiscard]] std::optional<std::uint64_t> size(const std::string& path) const;

  // --- data -----------------------------------------------------------------------------------

  [[nodiscard]] std::int32_t read(FileId file, std::span<std::byte> buffer, std::uint64_t offset);

  /// Makes the file so long, with blocks of its own that read as zeros: 0 or -errno. Durable by a sync.
  [[nodiscard]] std::int32_t allocate(FileId file, std::uint64_t size_bytes);
  /// A write is on its way from begin_write() to end_write(); a crash in between leaves any of it.
  /// `bytes` must stay as they are until then: end_write() says if they did not (*changed).
  using WriteId = std::uint64_t;
  [[nodiscard]] WriteId begin_write(FileId file, std::span<const std::byte> bytes,
                                    std::uint64_t offset, bool durable);
  [[nodiscard]] std::int32_t end_write(WriteId id, bool* changed);
  /// The process is gone and its memory with it: keeps what the write holds.
  void detach_write(WriteId id);
  /// The kernel gave the write up, whatever part of it was done.
  void abandon_write(WriteId id);
  /// To how many files durable writes are on their way.
  [[nodiscard]] std::size_t files_written_durably() const;
  /// Still on its way: no crash took it.
  [[nodiscard]] bool has_write(WriteId id) const;

  /// Covers what was complete when it began. Of a directory: its names.
  using SyncId = std::uint64_t;
  [[nodiscard]] SyncId begin_sync(FileId file);
  [[nodiscard]] std::int32_t end_sync(SyncId id);
  void abandon_sync(SyncId id);
  [[nodiscard]] bool has_sync(SyncId id) const;

  // --- what goes wrong ------------------------------------------------------------------------

  DiskFaults faults;
  bool can_allocate = true;
  /// Blocks that may be in use; above it writes that need new ones fail with ENOSPC.
  std::uint64_t capacity_pages = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t pages_in_use() const { return pages_in_use_; }

  /// Power failure: only what is durable is left, and of the rest what chance keeps. No file is
  /// open and nothing is on its way afterwards.
  void crash();
  /// Bit rot: a sector of some file whose name ends in `suffix` is damaged in both images. Returns
  /// what was hit, or nothing if there was no such file.
  std::optional<std::string> rot(std::string_view suffix);
  /// Everything is gone, as if the disk had been replaced.
  void wipe();

  /// A copy of what is durable now, to come back to: an old backup.
  struct Backup;
  [[nodiscard]] std::shared_ptr<const Backup> backup() const;
  void restore(const Backup& backup);

  /// What a read would see, without any fault; empty if it is not there.
  [[nodiscard]] std::vector<std::byte> peek(const std::string& path, std::uint64_t offset,
                                            std::size_t size_bytes) const;

  // --- for checks -----------------------------------------------------------------------------

  /// Would the bytes [offset, offset + size) of the file be there as they are now, under this name,
  /// after a power failure at this moment?
  [[nodiscard]] bool is_durable(const std::string& path, std::uint64_t offset,
                                std::uint64_t size_bytes) const;
  /// Did it ever lie (lose, misplace or damage something without being told to stop)?
  [[nodiscard]] bool has_lied() const { return has_lied_; }
  /// Reads so far that got the bytes of another place.
  [[nodiscard]] std::uint64_t misdirected_reads() const { return misdirected_reads_; }
  [[nodiscard]] std::size_t files_open() const;

 private:
  struct Page {
    std::array<std::byte, kPageBytes> bytes;
  };
  using PageRef = std::shared_ptr<const Page>;  // empty: zeros
  struct Slot {
    PageRef current, durable;
    bool allocated = false;
    std::uint8_t dirty = 0;  // bit per sector: current differs from durable, as far as is known
  };
  struct File {
    std::vector<Slot> pages;
    std::uint64_t size = 0, durable_size = 0;
    std::uint32_t opens = 0;
    bool directory = false;
    std::string path;  // of a directory
    std::vector<std::uint32_t> dirty_pages;
  };
  struct NameChange {
    std::string from, to;        // create: from empty. unlink: to empty
    std::optional<FileId> file;  // create: the file
  };
  struct Write {
    WriteId id = 0;
    FileId file = 0;
    std::span<const std::byte> bytes;
    std::vector<std::byte> own;  // after detach
    std::uint64_t offset = 0;
    std::uint64_t hash = 0;
    bool durable = false;
  };
  struct Sync {
    SyncId id = 0;
    FileId file = 0;
    struct Covered {
      std::uint32_t number;
      PageRef page;
      std::uint8_t dirty;  // bit per sector that it is to make durable
    };
    std::vector<Covered> pages;
    std::uint64_t size = 0;
    std::size_t name_changes = 0;  // of the directory, from the front
    std::uint64_t names_epoch = 0;
  };
  using Names = std::map<std::string, FileId>;

  [[nodiscard]] static std::string parent(const std::string& path);
  [[nodiscard]] std::optional<FileId> find(const std::string& path) const;
  [[nodiscard]] bool is_name_durable(const std::string& path) const;
  [[nodiscard]] FileId add_file();
  void log_change(const std::string& directory, NameChange change);
  static void apply(Names& names, const NameChange& change);
  [[nodiscard]] static std::span<const std::byte> sector_of(const PageRef& page,
                                                            std::size_t sector);
  static void set_sector(PageRef& page, std::size_t sector, std::span<const std::byte> bytes);
  static void unify(Slot& slot);
  [[nodiscard]] bool make_room(File& file, std::uint64_t end);
  void store(File& file, std::span<const std::byte> bytes, std::uint64_t offset, bool durable);
  void store_page(File& file, std::size_t page, std::size_t begin, std::span<const std::byte> bytes,
                  bool durable);
  void crash_file(File& file, std::uint32_t lost, std::uint32_t torn, std::uint32_t zeroed);
  void crash_names(std::uint32_t lost);
  void settle_sector(Slot& slot, std::size_t sector, const Page* next, std::uint32_t lost,
                     std::uint32_t torn, std::uint32_t zeroed);
  void forget_unreachable();

  Random random_;
  std::vector<std::unique_ptr<File>> files_;
  Names names_, durable_names_;
  std::map<std::string, std::vector<NameChange>> changes_;  // by directory, not synced yet
  std::map<std::string, std::uint64_t> names_epoch_;        // how many changes were ever dropped
  std::vector<Write> writes_;
  std::vector<Sync> syncs_;
  std::uint64_t next_id_ = 1;
  std::uint64_t pages_in_use_ = 0;
  bool has_lied_ = false;
  std::uint64_t misdirected_reads_ = 0;
};

struct Disk::Backup {
  struct Copy {
    std::vector<PageRef> pages;
    std::uint64_t size = 0;
    bool directory = false;
  };
  std::map<std::string, Copy> files;
};

}  // namespace sluice::sim
