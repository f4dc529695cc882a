"""The head template: pydeface's mean head joined with the MNI152 brain, once per cache."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from counterwarp.brain.registration import isotropic, register
from counterwarp.core import templates
from counterwarp.core.geometry import from_itk, itk_affine, to_itk

RESOLUTION = 2.0  # mm
SKULL = 12.0  # mm from the crown of the head to the top of the brain: the start of the registration


def brain_template() -> tuple[sitk.Image, sitk.Image]:
    """MNI152 T1w (0 outside the brain) and its mask at 1 mm."""
    t1w, mask = templates.mni152_brain()
    brain = (np.asarray(mask.dataobj) > 0).astype(np.float32)
    data = np.asarray(t1w.dataobj, dtype=np.float32) * brain
    return to_itk(nib.Nifti1Image(data, t1w.affine)), to_itk(nib.Nifti1Image(brain, t1w.affine))


def _crown(image: sitk.Image, threshold: float, gap: float) -> np.ndarray:
    """Point (LPS+ mm) under the crown: centre of the upper 130 mm, ``gap`` mm below the top."""
    affine = itk_affine(image)
    bright = sitk.GetArrayFromImage(image > threshold).T
    points = np.argwhere(bright) @ affine[:3, :3].T + affine[:3, 3]
    top = np.percentile(points[:, 2], 99.9) - gap
    upper = points[points[:, 2] > top - 130]
    return np.array([*((upper.min(0) + upper.max(0)) / 2)[:2], top])


@cache
def build_head_template() -> dict[str, nib.Nifti1Image]:
    """Register the mean head and the MNI152 brain: about 25 CPU seconds, once per process.

    Returns
    -------
    ``head`` and ``head_mask``: the mean head with the brain's outline in its own space, 2 mm;
    ``head_in_mni``: the mean head in MNI152 space with the sharp MNI152 brain set in, 1 mm, for simulations.
    """
    t1w, mask = brain_template()
    head = to_itk(nib.Nifti1Image.from_filename(str(templates.head_template())))
    brain2, mask2, head2 = (isotropic(image, RESOLUTION) for image in (t1w, mask, head))
    inside = mask2 > 0.5
    start = sitk.AffineTransform(3)
    head_mean = float(sitk.GetArrayViewFromImage(head2).mean())
    brain_low = 0.2 * float(sitk.GetArrayViewFromImage(brain2).max())
    start.SetTranslation((_crown(head2, head_mean, SKULL) - _crown(brain2, brain_low, 0.0)).tolist())
    roi, near = (sitk.Cast(m, sitk.sitkFloat32) for m in (inside, sitk.BinaryDilate(inside, [2] * 3)))
    affine = register(brain2, head2, "Affine", start, mask=roi).affine
    warped = register(
        brain2, head2, "SyNOnly", affine, forward=[(head, _padded(t1w))], inverse=[(roi, head2)], mask=near
    )
    outline = sitk.BinaryDilate(warped.inverse[0] > 0.5, [1] * 3)  # the mean brain is blurred inwards
    return {
        "head": from_itk(head2),
        "head_mask": from_itk(sitk.Cast(outline, sitk.sitkUInt8)),
        "head_in_mni": _set_in(from_itk(warped.forward[0]), from_itk(_padded(t1w)), from_itk(_padded(mask))),
    }


def _padded(image: sitk.Image) -> sitk.Image:
    """Room around the MNI152 brain for skull, face and neck."""
    return sitk.ConstantPad(image, [20, 25, 60], [20, 25, 25], 0.0)


def _set_in(head: nib.Nifti1Image, brain: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Replace the head's blurred brain by the sharp one, intensities matched, with a seam of about 2 mm."""
    head_data, brain_data = (np.asarray(image.dataobj, dtype=np.float32) for image in (head, brain))
    inside = np.asarray(mask.dataobj) > 0.5
    scale = np.percentile(head_data[inside], 90) / np.percentile(brain_data[inside], 90)
    share = gaussian_filter(inside.astype(np.float32), 0.8)
    return nib.Nifti1Image((share * brain_data * scale + (1 - share) * head_data).astype(np.float32), head.affine)
