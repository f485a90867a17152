"""Write results of a video as a video, with the sound of the original."""

from pvzoo.video.write import AnnotatedVideo

__all__ = ["AnnotatedVideo"]
